"""The cluster in a deterministic simulator: many random histories, each checked against a model.

``python -m tests.simulation --help`` runs them; a seed and a profile give the same run every time.

loop      virtual time, with a clock of its own and a pause for every node
network   messages between nodes, and what can happen to them
liars     a lender that gives wrong answers
node      one node over its lives; world: all of them, with what is known of every fault
workload  programs that put, get and flush; model: what their pages may contain
audit     books that must agree, looked up behind the nodes' backs
faults    what is broken, when; profiles: settings, faults and promises that belong together
history   one run; runner: thousands of them; variants: broken code that must be found out
"""
