"""Version 1 of the wire: ``peer`` (data plane), ``control`` (control plane), ``tmem`` (programs)."""
