"""Erasure of a customer: requested over HTTP or in the admin, carried out by a saga, proved by receipts."""
