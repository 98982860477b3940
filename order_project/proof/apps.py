from django.apps import AppConfig


class ProofConfig(AppConfig):
    name = "order_project.proof"
    verbose_name = "Proof"
