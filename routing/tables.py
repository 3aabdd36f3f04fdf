"""What all tables of the business data belong to."""

from sqlalchemy import MetaData

metadata = MetaData()
