"""The windows workers, asked over HTTP for what they hold."""
