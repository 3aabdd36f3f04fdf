"""A small SIP phone on the same sans-IO core as the server: registers, calls, answers, refuses."""
