"""Online rows as bytes, and the stores that keep them; features.stores.online is Feast's way in."""
