"""The SIP user agent of a telephone answering service and the process around it."""
