"""Sockets and names: UDP, TCP, TLS and DNS around the sans-IO SIP core."""
