"""RabbitMQ and its stand-in: topology, connections, publishing, and the check of every incoming message."""
