"""What people read: report.md, status.json, progress.svg."""
