"""The page of the Statistics workspace: numbers of groups of slides as a table and as plots."""
