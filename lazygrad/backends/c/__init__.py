"""C for GPUs: legalised loops as the text of one kernel, in any of the dialects of a table.

dialect   what dialects differ in, and OpenCL C's row;  more_dialects  CUDA's and Metal's
text      indented lines, names that clash with nothing, terms with their binding strength
printer   expressions;  functions  the helper functions that a kernel calls
kernel    statements, groups and items: the whole text
items     which work-item runs which iterations
shared    where a group's arrays are, and what barriers make visible
"""
