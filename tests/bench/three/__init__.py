"""The load "three steps": an order, a payment, a stock row and a shipment, one row each in four databases."""
