"""What leaves the program for people: the marked overview, the report, the drive sheet."""
