"""The sub-commands of ``ramster``, a module each: ``add_flags(parser)`` and ``run(arguments)``."""
