"""How sound flows: session descriptions, RTP, the relay and its ports."""
