"""Which of these K things will each customer do in the next N days?"""

__version__ = "0.1.0"
