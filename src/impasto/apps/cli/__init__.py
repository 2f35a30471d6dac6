"""The command line: a module for a group of commands, and what they share."""
