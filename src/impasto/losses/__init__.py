"""What it means to share content, or style."""
