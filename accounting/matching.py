"""Who belongs to whom: as many pairs as possible, and of those the cheapest. Pure."""

from collections.abc import Sequence
from heapq import heappop, heappush

#: (column, cost) of each pair that a row may be in; costs are not negative.
Edges = Sequence[Sequence[tuple[int, int]]]


def assign(edges: Edges, columns: int) -> list[int]:
    """The column of each row, -1 for none; no column twice.

    There is no assignment with more pairs, and none with as many at a smaller sum of costs: shortest augmenting
    paths with potentials (Jonker and Volgenant 1987, for sparse problems). Each row may also stay alone, at a price
    above that of everything else together; so a search ends as soon as the nearest end is found, which among calls
    that mostly agree is at once.
    """
    rows = len(edges)
    alone = 1 + rows * max((cost for row in edges for _, cost in row), default=0)
    chosen = [-1] * rows
    owner = [-1] * columns
    row_price = [0] * rows
    column_price = [0] * columns
    for start in range(rows):
        reached: dict[int, int] = {}
        before: dict[int, int] = {}
        scanned: dict[int, int] = {}
        heap: list[tuple[int, int]] = []
        row, base = start, 0
        end_cost, end_row, end_column = alone, start, -1
        while True:
            price = row_price[row]
            if base + alone - price < end_cost:
                end_cost, end_row = base + alone - price, row
            for column, cost in edges[row]:
                if column not in scanned:
                    distance = base + cost - price - column_price[column]
                    if column not in reached or distance < reached[column]:
                        reached[column] = distance
                        before[column] = row
                        heappush(heap, (distance, column))
            while heap and (heap[0][1] in scanned or heap[0][0] > reached[heap[0][1]]):
                heappop(heap)
            if not heap or heap[0][0] >= end_cost:
                break
            base, column = heappop(heap)
            if owner[column] < 0:
                end_cost, end_column = base, column
                break
            scanned[column] = base
            row = owner[column]
        row_price[start] += end_cost
        for column, distance in scanned.items():
            row_price[owner[column]] += end_cost - distance
            column_price[column] -= end_cost - distance
        if end_column < 0:
            # the row at the end of the path gives its column up
            end_column, chosen[end_row] = chosen[end_row], -1
            if end_row == start:
                continue
        column = end_column
        while True:
            row = before[column]
            owner[column] = row
            column, chosen[row] = chosen[row], column
            if row == start:
                break
    return chosen
