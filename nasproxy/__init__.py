"""Score neural architectures without training them."""
