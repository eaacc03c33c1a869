"""Report of the runs of a sweep: results (read and grouped), plots, page (terminal tables and HTML page)."""
