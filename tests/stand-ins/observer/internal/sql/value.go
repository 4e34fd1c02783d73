package sql

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Value is what a cell holds: nothing, a whole number or a text. More types would need more of MySQL than tests ask for.
type Value struct {
	kind   kind
	number int64
	text   string
}

type kind byte

const (
	null kind = iota
	number
	text
)

// Null, Number and Text make values.
var Null = Value{}

// Number is a whole number.
func Number(n int64) Value { return Value{kind: number, number: n} }

// Text is a text.
func Text(s string) Value { return Value{kind: text, text: s} }

// Bool is MySQL's: 1 or 0.
func Bool(b bool) Value {
	if b {
		return Number(1)
	}
	return Number(0)
}

// IsNull tells whether there is a value at all.
func (v Value) IsNull() bool { return v.kind == null }

// IsNumber tells whether it is a whole number.
func (v Value) IsNumber() bool { return v.kind == number }

// Int reads the value as MySQL would in a calculation: a text counts by the number that it begins with.
func (v Value) Int() int64 {
	if v.kind == number {
		return v.number
	}
	s, end := strings.TrimSpace(v.text), 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, _ := strconv.ParseInt(s[:end], 10, 64)
	return n
}

func (v Value) String() string {
	if v.kind == number {
		return strconv.FormatInt(v.number, 10)
	}
	return v.text
}

// Any is the value as Go has it.
func (v Value) Any() any {
	switch v.kind {
	case number:
		return v.number
	case text:
		return v.text
	}
	return nil
}

// Compare orders two values. Texts compare without case, like OceanBase's default collation utf8mb4_general_ci.
func (v Value) Compare(other Value) int {
	if v.kind == text && other.kind == text {
		return strings.Compare(strings.ToLower(v.text), strings.ToLower(other.text))
	}
	a, b := v.Int(), other.Int()
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Literal is the value as SQL text.
func (v Value) Literal() string {
	switch v.kind {
	case number:
		return strconv.FormatInt(v.number, 10)
	case text:
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`).Replace(v.text) + "'"
	}
	return "NULL"
}

// MarshalJSON writes the value as JSON has it.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.Any()) }

// UnmarshalJSON reads it back; a number must not pass through a float, which would round it.
func (v *Value) UnmarshalJSON(data []byte) error {
	switch {
	case string(data) == "null":
		*v = Null
		return nil
	case data[0] == '"':
		v.kind = text
		return json.Unmarshal(data, &v.text)
	}
	n, err := strconv.ParseInt(string(data), 10, 64)
	*v = Number(n)
	return err
}
