"""Where attempts run: in processes of this host, in windows of tmux, or on another machine by ssh."""
