"""Films: frames in and out, what moves in them, and pictures that agree from frame to frame."""
