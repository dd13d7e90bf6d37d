import gc

from portal import create_app

# What is imported and wired now stays: looking through it for garbage is a fifth of the start.
gc.disable()
app = create_app()
gc.freeze()
gc.enable()
