"""What the runs of a sweep show together: results (read and grouped), plots, page (terminal tables and HTML page)."""
