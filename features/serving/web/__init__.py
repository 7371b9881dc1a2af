"""What the HTTP service is made of; features.serving.service puts it together."""
