"""For all tests: the server's log is silent unless somebody asks for it."""

import logging

import structlog

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
