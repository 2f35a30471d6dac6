"""What networks see and how good a picture is: sheets of pictures, and numbers."""
