package serve

import (
	"encoding/binary"

	"github.com/go-mysql-org/go-mysql/mysql"

	"atoll.dev/tests/stand-ins/observer/internal/sql"
)

// encode writes a result as the protocol has it. The library's own helper takes a column's type from the first row, so
// a NULL there, or no row at all, would change the type that a client sees.
func encode(result *sql.Result, prepared bool) (*mysql.Result, error) {
	if result == nil {
		return nil, nil
	}
	if result.Heads == nil {
		done := mysql.NewResultReserveResultset(0)
		done.AffectedRows, done.InsertId = result.Affected, result.InsertID
		return done, nil
	}
	set := mysql.NewResultset(len(result.Heads))
	for i, head := range result.Heads {
		set.Fields[i] = field(head)
	}
	for _, row := range result.Rows {
		if prepared {
			set.RowDatas = append(set.RowDatas, binaryRow(result.Heads, row))
		} else {
			set.RowDatas = append(set.RowDatas, textRow(row))
		}
	}
	return mysql.NewResult(set), nil
}

const (
	utf8mb4 = 45
	octets  = 63
)

func field(head sql.Head) *mysql.Field {
	if head.Numeric {
		return &mysql.Field{
			Name: []byte(head.Label), Charset: octets, ColumnLength: 20, Type: mysql.MYSQL_TYPE_LONGLONG, Flag: mysql.BINARY_FLAG,
		}
	}
	return &mysql.Field{Name: []byte(head.Label), Charset: utf8mb4, ColumnLength: 65535, Type: mysql.MYSQL_TYPE_VAR_STRING}
}

func textRow(row []sql.Value) []byte {
	var out []byte
	for _, value := range row {
		if value.IsNull() {
			out = append(out, 0xfb)
		} else {
			out = append(out, mysql.PutLengthEncodedString([]byte(value.String()))...)
		}
	}
	return out
}

func binaryRow(heads []sql.Head, row []sql.Value) []byte {
	const header, offset = 1, 2 // The packet's first byte; the bits of the null bitmap that stay free.
	out := make([]byte, header+(len(row)+7+offset)/8)
	for i, value := range row {
		switch {
		case value.IsNull():
			out[header+(i+offset)/8] |= 1 << ((i + offset) % 8)
		case heads[i].Numeric:
			out = binary.LittleEndian.AppendUint64(out, uint64(value.Int()))
		default:
			out = append(out, mysql.PutLengthEncodedString([]byte(value.String()))...)
		}
	}
	return out
}
