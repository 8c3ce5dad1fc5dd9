"""What a rating means: `fdp` the axes and the rule, `rubric` the words for the levels."""
