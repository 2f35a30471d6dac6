"""Pictures in and out, their colours, and the samples."""
