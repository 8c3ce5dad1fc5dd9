"""Pages for paper: rendered here, printed at the office. They run nothing, load nothing, and may do neither."""
