"""The service frame: three doors (HTTP, event, sweep), one transaction, and everything a service needs to be operated.

A service declares a `Service`; `create_app` makes it run, alone in its container or beside the others in one process.
"""

from shared.service.app import create_app, make_transport
from shared.service.clock import JST, Clock, day_in_japan, is_holiday, is_working_day, working_day_after
from shared.service.declare import Errand, Service, Settled, Sweep
from shared.service.paging import LongPages, Page, Pages, Paging, moment, number, page, paging
from shared.service.route import router
from shared.service.strict import Body
from shared.service.transaction import Now, Reading, Together, Transaction, gathered
from shared.service.versions import IfMatch, etag, expect

__all__ = [
    "JST",
    "Body",
    "Clock",
    "Errand",
    "IfMatch",
    "LongPages",
    "Now",
    "Page",
    "Pages",
    "Paging",
    "Reading",
    "Service",
    "Settled",
    "Sweep",
    "Together",
    "Transaction",
    "create_app",
    "day_in_japan",
    "etag",
    "expect",
    "gathered",
    "is_holiday",
    "is_working_day",
    "make_transport",
    "moment",
    "number",
    "page",
    "paging",
    "router",
    "working_day_after",
]
