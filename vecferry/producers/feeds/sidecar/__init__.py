"""The feed over HTTP, for applications in any language: begin a write, send it, end it."""
