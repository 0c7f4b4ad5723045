"""Every answer ever paid for, and every promise to pay: the one record from which all else can be rebuilt."""
