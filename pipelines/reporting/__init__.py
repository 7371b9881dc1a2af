"""The report page: one module a section, each turning files of a run into plain blocks."""
