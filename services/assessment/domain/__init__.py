"""What a rating means (`fdp` the axes and the rule, `rubric` the words), and `reading`: who may know of it."""
