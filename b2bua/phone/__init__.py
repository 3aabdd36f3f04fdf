"""The built-in user agent: places and answers calls with real sound, to try a server without a phone."""
