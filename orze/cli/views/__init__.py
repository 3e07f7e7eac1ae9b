"""What commands show, as renderables of rich."""
