"""Who pays for a meal: pure rules, told the policy and the facts of the day, answering whole fen."""
