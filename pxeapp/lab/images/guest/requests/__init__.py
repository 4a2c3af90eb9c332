"""Stands for `requests` inside the stand-in: pykickstart imports it, but here kickstarts are fetched by curl."""

from . import exceptions as exceptions
