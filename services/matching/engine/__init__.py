"""The matching engine: an instance in, the best plan that can be found in time out, with its proven bound.

One way: instance → columns (what is possible) → parts (what is independent) → rows (what excludes what) →
a first plan by greed and ejection → prices of the linear relaxation → the plan → its reasons. Knows neither
the database nor who asks: it stands on the domain, numpy and HiGHS alone.
"""
