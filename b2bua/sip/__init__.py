"""SIP itself, sans-IO: messages, transactions, dialogs, sessions, digest. Imports nothing else of ours."""
