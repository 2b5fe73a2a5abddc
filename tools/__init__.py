"""What makes the documentation: a real browser, the page of all commands, the pictures."""
