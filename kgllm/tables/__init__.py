"""Tables: what a question asks of many things at once, as rows of columns, and how its words are read as one."""
