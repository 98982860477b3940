"""The flows, one file each. Importing this package registers them all."""

from celery_config.common.loading import import_modules

import_modules(__path__, __name__)
