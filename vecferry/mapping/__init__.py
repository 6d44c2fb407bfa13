"""Plans and names: what becomes of a collection in another database."""
