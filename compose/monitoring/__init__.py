"""Monitoring: Prometheus with its alerts and sums, and Grafana with dashboards that are written by code."""
