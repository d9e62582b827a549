"""xstilts: does intermediate-task training improve zero-shot cross-lingual transfer?"""

__version__ = "0.1.0"
