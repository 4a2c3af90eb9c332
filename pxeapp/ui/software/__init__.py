"""The pages of software: a tab and a file for each of its parts."""
